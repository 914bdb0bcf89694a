// Package relation reads rows: it scans the files and queries that sources and spines name
// into vectors, in order or with several workers.
//
// The definitions decide each column's type; it is never guessed from the data. A value
// that the declared type cannot hold exactly is an error that names the file, the row or
// line, and the column.
package relation
