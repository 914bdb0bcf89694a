// Package text says what a text is as a value of each column type. It is the one
// reader of texts: of the cells of CSV and the strings and numbers of JSON, in files,
// spines and pushes alike, of flags, and of texts in definitions and tests. What a text
// means depends on the declared type and on the text alone, never on other rows.
//
// Nothing is trimmed: a text with a space before or after it is another text.
//
// The rules, which docs/language.md repeats for users:
//
//   - bool: true, t, 1, false, f and 0, in any case of the letters.
//   - int: a decimal number whose value is whole and fits in 64 bits. It is read
//     exactly, never by way of a double: 1.0 and 1e3 are ints, 1.5 and 9223372036854775808 are not.
//   - double: a decimal number, rounded once to the nearest double, ties to even; or NaN,
//     Infinity, +Infinity, -Infinity, with inf for infinity, in any case. A number that rounds
//     to an infinity is an error; one too small for a double is 0.
//   - string: the text, which is valid UTF-8.
//   - bytes: base64 with padding (RFC 4648, section 4); line breaks in it are ignored.
//   - timestamp: as plan.ParseTime reads it.
//   - duration: as time.ParseDuration reads it, such as 1h30m or -2.5s; anything finer than
//     a nanosecond is cut off.
//
// A decimal number has an optional sign, digits with at most one point among, before or
// after them, and an optional exponent. Leading zeros are allowed; underscores, thousands
// separators and other bases are not.
package text
