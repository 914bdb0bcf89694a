//go:build !duckdb_arrow

package relation

// DuckDB hands rows over as Arrow only in builds with the tag duckdb_arrow.
// The undefined name below is what the compiler prints when it is missing.
var _ = build_with_go_build_dash_tags_duckdb_arrow__or_with_make
