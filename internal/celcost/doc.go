// Package celcost bounds what evaluating an expression can cost, before it ever runs: for
// every function and loop, from the sizes that texts, lists and maps can have.
package celcost
