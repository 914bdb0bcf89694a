// Package duckdb runs queries in an embedded DuckDB: over files, object stores and
// databases. It is the only package that uses cgo, and it needs the build tag duckdb_arrow.
//
// DuckDB scans, projects and joins here; it never computes a feature, because its
// parallel floating-point sums are not reproducible and its errors end whole queries.
package duckdb
