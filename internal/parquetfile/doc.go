// Package parquetfile writes Parquet files. Several goroutines encode and compress row
// groups, which are committed in order, so the bytes of a file depend only on its rows.
package parquetfile
