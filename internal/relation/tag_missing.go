//go:build !duckdb_arrow

package relation

// DuckDB's Go binding returns Arrow records only when built with the tag duckdb_arrow. The
// compiler prints the undefined name below when the tag is missing.
var _ = build_with_go_build_dash_tags_duckdb_arrow__or_with_make
