// Package records reads rows of CSV and JSON text into batches: of files, spines and
// pushes alike. Package text parses the values of cells; this package finds
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
// A file is one object per line, or one array of objects. A missing member is null.
// Numbers, bools and strings must have the declared type of their column. Values that JSON
// cannot write are strings: timestamps, durations, bytes in base64, NaN and the infinities.
//
// # Errors
//
// A cell that its column cannot hold, or a row that cannot be split into cells, makes a
// bad row with its position and the reason; the rows after it are still read. A problem of
// the whole file, such as its header, a quote that is not closed or a row longer than MaxRow,
// is an error.
package records
