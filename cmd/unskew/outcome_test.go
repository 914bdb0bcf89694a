package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/vector"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
	"github.com/unskew/unskew/proto/unskew/v1/unskewv1connect"
	"github.com/unskew/unskew/sdk"
)

// What a newer server may answer is an error of the push, and never an index.
func TestOutcomesOfANewerServer(t *testing.T) {
	for _, test := range []struct {
		outcomes []unskewv1.Outcome
		want     string
	}{
		{[]unskewv1.Outcome{1, 99}, "outcome 99"}, {[]unskewv1.Outcome{1, -1}, "outcome -1"}, {[]unskewv1.Outcome{0, 1}, "outcome 0"},
		{[]unskewv1.Outcome{257, 1}, "outcome 257"}, {[]unskewv1.Outcome{1}, "answered 1 rows, of 2"}, {[]unskewv1.Outcome{1, 4}, ""},
	} {
		mux := http.NewServeMux()
		mux.Handle(unskewv1connect.IngestServicePushProcedure, connect.NewUnaryHandler(unskewv1connect.IngestServicePushProcedure,
			func(_ context.Context, _ *connect.Request[unskewv1.PushRequest]) (*connect.Response[unskewv1.PushResponse], error) {
				res := &unskewv1.PushResponse{}
				for _, o := range test.outcomes {
					res.Rows = append(res.Rows, &unskewv1.PushedRow{Outcome: o})
				}
				return connect.NewResponse(res), nil
			}))
		server := httptest.NewServer(mux)
		client, err := sdk.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		b := vector.NewBatch([]plan.Field{{Name: "x", Type: plan.T(plan.Int)}}, 2)
		_, err = remotePusher(client, "s")(t.Context(), b)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.outcomes, err, test.want)
		}
		server.Close()
	}
}
