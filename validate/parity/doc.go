// Package parity checks that served values are equal to those in training sets.
//
// Replay drives history through the whole online path (event log, applier, store,
// server over loopback) under a simulated clock, reads the features of spine rows at
// their as-of times, and compares values and statuses bit by bit with those of the
// training set.
package parity
