// Package celcost bounds the cost of evaluating an expression before it runs, from the costs of
// its functions and loops and the sizes that texts, lists and maps can have.
package celcost
