package text

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSize reads a number of bytes such as 512MB; an empty text is 0.
func ParseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	upper := strings.ToUpper(strings.TrimSpace(text))
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"GIB", 1 << 30}, {"MIB", 1 << 20}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}} {
		if number, ok := strings.CutSuffix(upper, u.suffix); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err != nil || n <= 0 || n > 1e6*1e9 {
				break
			}
			return int64(n * float64(u.bytes)), nil
		}
	}
	return 0, fmt.Errorf("%q is not a size; write a number and a unit, like 512MB or 4GB", text)
}
