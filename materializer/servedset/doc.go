// Package servedset makes spines of what a server answered, joined with what came of it, so that a training set has
// the values that were served themselves. What was not served, because the feature is newer, is computed as for any other spine.
package servedset
