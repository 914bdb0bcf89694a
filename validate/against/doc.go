// Package against compares values that another system served or trained with to those that the definitions give, and says which
// mistake of the other system would explain a difference.
//
// Of what the other system saw nothing is known but its values. So causes are hypotheses, each of which is computed: the value as of
// an earlier time, with events that were not known yet, with events counted as often as they were delivered. The first hypothesis that
// gives the foreign value exactly is the cause.
package against
