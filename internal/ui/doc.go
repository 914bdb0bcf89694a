// Package ui is the pages that people look at in a browser: what parity has found, as pages of a server and as one self-contained file.
//
// Pages are made on the server and complete without scripts, which add plots and tables that can be sorted. They load nothing from elsewhere.
package ui
