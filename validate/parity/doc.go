// Package parity proves that what is served is what was trained on.
//
// Replay drives history through the whole online path (event log, applier, store,
// server over loopback) under a simulated clock, asks for the features of spine
// rows at their as-of times, and compares values and statuses with the training
// set's as bits.
package parity
