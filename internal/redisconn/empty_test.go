package redisconn

import (
	"context"
	"fmt"
	"testing"

	"github.com/unskew/unskew/internal/redistest"
)

func TestEmptyLeavesOtherNamespaces(t *testing.T) {
	for what, address := range map[string]string{
		"one server": redistest.Start(t).Address, "cluster": redistest.StartCluster(t, 2)[0].Address,
	} {
		ctx := context.Background()
		count := map[string]int64{}
		for _, namespace := range []string{"a", "ab", "a.", "a-"} {
			c := dialTest(t, Options{Addresses: []string{address}, Namespace: namespace})
			for i := range 50 {
				if err := c.Do(ctx, c.B().Set().Key(fmt.Sprintf("%s:%d", namespace, i)).Value("v").Build()).Error(); err != nil {
					t.Fatal(err)
				}
			}
		}
		c := dialTest(t, Options{Addresses: []string{address}, Namespace: "a"})
		if err := c.Empty(ctx); err != nil {
			t.Fatal(err)
		}
		for _, namespace := range []string{"a", "ab", "a.", "a-"} {
			for i := range 50 {
				n, err := c.Do(ctx, c.B().Exists().Key(fmt.Sprintf("%s:%d", namespace, i)).Build()).AsInt64()
				if err != nil {
					t.Fatal(err)
				}
				count[namespace] += n
			}
		}
		if count["a"] != 0 || count["ab"] != 50 || count["a."] != 50 || count["a-"] != 50 {
			t.Errorf("%s: keys left by namespace: %v", what, count)
		}
	}
}
