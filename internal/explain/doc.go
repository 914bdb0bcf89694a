// Package explain shows how the value of one feature of one entity came about: its definition, the events that it is computed
// from and those that are left out, with the reason for each, and the values that training and serving have.
//
// Values are computed by the replay that makes training sets, over all events that are known now and over those that serving had; the
// third one is what serving answers. Where they differ, the first event that only one of them has is named.
package explain
