// Package parquetfile writes Parquet files: row groups are encoded and compressed by
// several goroutines and committed in order, so that the bytes of a file depend on its
// rows alone.
package parquetfile
