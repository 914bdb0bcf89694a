// Package records reads rows of CSV and JSON text into batches: of files, spines and
// pushes alike. What a cell means as a value is said by package text; this package says
// where rows and cells begin and end.
//
// # CSV
//
// The dialect is that of RFC 4180 unless plan.CSV says otherwise, and never guessed:
// commas, double quotes, doubled within quotes, lines that end with LF or CRLF, UTF-8 with
// or without a byte order mark, and a header on the first line. An empty line is not a row. A
// field that is empty and not quoted is null; an empty field in quotes is an empty string
// or empty bytes, and null in a column of another type.
//
// # JSON
//
// A file is objects, one a line, or one array of objects. A member that is missing is null.
// Numbers, bools and strings have to be what the column is declared as; only what JSON has
// no form of is a string: a timestamp, a duration, bytes in base64, a NaN and the infinities.
//
// # What is wrong
//
// A cell that its column cannot hold, and a row that cannot be divided into cells, make a
// bad row, which says where it is and why; the rows after it are read. What is wrong with
// a whole file, such as its header, a quote that is never closed or a row beyond MaxRow, is
// an error.
package records
