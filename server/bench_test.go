package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/dev/bench/workload"
	"github.com/unskew/unskew/internal/servedlog"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
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

// answerWriter is a ResponseWriter that keeps nothing.
type answerWriter struct{ header http.Header }

func (w *answerWriter) Header() http.Header         { return w.header }
func (w *answerWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *answerWriter) WriteHeader(int)             {}

// cpuTime is the processor time that this process has used, which other processes disturb less than
// they do the time that passes.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAnswer measures what a server does between the request and the answer, both in memory: 25
// features of each view, of users with 38 orders. A served log of 0.01 % has none of these users: choosing is all it costs.
func BenchmarkAnswer(b *testing.B) {
	for _, c := range []struct {
		rows, views int
		keep        int64
		served      float64
	}{{1, 2, 0, 0}, {10, 2, 0, 0}, {1, 10, 0, 0}, {1, 2, 1 << 20, 0}, {10, 2, 1 << 20, 0}, {1, 10, 1 << 20, 0}, {1, 2, 1 << 20, 0.0001}, {1, 2, 1 << 20, 1}, {1, 2, 0, 1}} {
		name := fmt.Sprintf("%dx%d near cache %d", c.rows, 25*c.views, c.keep)
		if c.served > 0 {
			name += fmt.Sprintf(" served log %v", c.served)
		}
		b.Run(name, func(b *testing.B) {
			p := defstest.Compile(b, workload.Definitions(c.views, c.views))
			open, err := backend.InMemory(b.Context(), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer open.Close()
			if _, err := workload.Fill(b.Context(), open.Store, p, workload.Orders(11, 100, 38)); err != nil {
				b.Fatal(err)
			}
			states, err := open.KeepingStates(b.Context(), c.keep)
			if err != nil {
				b.Fatal(err)
			}
			s, err := New(Config{Clock: func() plan.EventTime { return workload.Now }, States: states, Served: record(b, servedlog.Config{Rate: c.served}).Log})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Promote(p); err != nil {
				b.Fatal(err)
			}
			ids := make([]int64, c.rows)
			for i := range ids {
				ids[i] = workload.UserID(i)
			}
			body, err := proto.Marshal(&unskewv1.GetFeaturesRequest{Service: fmt.Sprintf("s%d", c.views), KnownFingerprint: p.Services[0].Fingerprint.String(),
				Keys: []*unskewv1.Column{{Name: "user", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: ids}}}}})
			if err != nil {
				b.Fatal(err)
			}
			h, w := s.Handler(), &answerWriter{http.Header{}}
			b.ReportAllocs()
			begin := cpuTime(b)
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/unskew.v1.FeatureService/GetFeatures", bytes.NewReader(body))
				r.Header["Content-Type"] = []string{"application/proto"}
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64((cpuTime(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}
