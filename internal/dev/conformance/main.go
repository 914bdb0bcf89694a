package main

import (
	"fmt"
	"os"
)

// sizes are at and around the word size of the kernels' bitmaps.
var sizes = []int{1, 63, 64, 65, 130}

func main() {
	r, err := runSuite(sizes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	r.print(os.Stdout)
	if r.total.failed > 0 {
		os.Exit(1)
	}
}
