// Command conformance runs the conformance suite of the CEL specification
// through cel-go and through the kernels, and counts by file what passed.
//
// The suite is that of the module cel.dev/expr. A test passes when cel-go, with
// all that the suite knows of, gives what the test expects, and so do the kernels:
// with the literals of the expression as constants and with the literals lifted
// into columns, for batches of several sizes, with rows of nulls and of errors
// between. A test that cel-go itself does not pass, or that uses what features
// cannot contain, is skipped for a reason written down in this package.
//
// The last line reads "N passed, N failed, N skipped"; the exit code is 1 when a
// test failed and 2 when the suite could not run.
package main
