package server

import (
	"fmt"
	"testing"

	"github.com/unskew/unskew/sdk"
)

// BenchmarkRead measures whole reads, client and loopback network included.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 100} {
		for _, protocol := range []string{"connect", "connect json", "grpc"} {
			b.Run(fmt.Sprintf("%s/%d rows", protocol, n), func(b *testing.B) {
				f := start(b, nil)
				c := f.client(b, protocolOptions[protocol]...)
				users := make([]int64, n)
				for i := range users {
					users[i] = int64(i)
				}
				keys, request := row(users...)
				for b.Loop() {
					if _, err := c.GetFeatures(b.Context(), "fraud_v1", keys, request, sdk.Only("user_spend.spend")); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
