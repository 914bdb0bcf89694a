// Command conformance runs the conformance suite of the CEL specification
// through cel-go and through the kernels, and counts by file what passed.
//
// The suite is that of the module cel.dev/expr. A test passes if cel-go, with everything
// that the suite declares, returns the expected value, and so do the kernels: with the
// literals of the expression as constants and with the literals lifted into columns, for
// batches of several sizes, with rows of nulls and of errors among them. A test that
// cel-go itself does not pass, or that uses something that features cannot contain, is
// skipped; this package lists the reasons.
//
// The last line reads "N passed, N failed, N skipped"; the exit code is 1 when a
// test failed and 2 when the suite could not run.
package main
