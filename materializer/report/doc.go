// Package report describes a training set for a person who is about to train on it: its parts
// and labels, and for every feature the distribution of its values, the entities without a value,
// and its association with the label. docs/formats/trainingset.md describes the format.
//
// Everything that is collected about features is numbers of rows, so the same rows give the same
// report, in whatever order and by however many goroutines they are counted.
package report
