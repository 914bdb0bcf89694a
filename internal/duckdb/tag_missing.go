//go:build !duckdb_arrow

package duckdb

// DuckDB returns rows as Arrow only in builds with the tag duckdb_arrow. Without the tag
// the compiler prints the undefined name below.
var _ = build_with_go_build_dash_tags_duckdb_arrow__or_with_make
