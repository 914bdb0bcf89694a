// Package relation is where rows come from: it reads the files and queries that
// sources and spines name into vectors, in order or by several workers at a time.
//
// What a column holds is decided by the definitions, never guessed from the data: a
// value that the declared type cannot hold exactly is an error that names the file,
// the row or line, and the column.
package relation
