// Package report says what a training set looks like to a person who is about to train on it:
// its parts and labels, and of every feature what its values are, for which entities it has
// none, and how much it tells of the label. docs/formats/trainingset.md has the format.
//
// All that is collected of a feature are numbers of rows, so the same rows make the same
// report whoever counted them and in which order.
package report
