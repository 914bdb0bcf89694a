package server

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
	"github.com/unskew/unskew/internal/vector"
	"github.com/unskew/unskew/internal/wire"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// The hand-written checks agree with the contract: a request is valid if protovalidate
// reports nothing, and otherwise refused with protovalidate's message.
func TestRulesAreThoseOfTheContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string {
			letter := rapid.SampledFrom([]string{"a", "é", "日", "🙂"}).Draw(t, "letter")
			return strings.Repeat(letter, rapid.SampledFrom([]int{0, 1, 64, 65, 170, 171, 256, 257, 511, 512, 513}).Draw(t, "letters"))
		})
		count := func(limit int) int {
			return rapid.SampledFrom([]int{0, 1, 2, limit, limit + 1}).Draw(t, "count")
		}
		m := &unskewv1.GetFeaturesRequest{Service: "s"}
		columns := func() []*unskewv1.Column {
			c := &unskewv1.Column{Name: name.Draw(t, "column"), Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{}}}
			if rapid.IntRange(0, 4).Draw(t, "untyped") == 0 {
				c.Values = nil
			}
			out := make([]*unskewv1.Column, count(1000))
			for i := range out {
				out[i] = c
			}
			return out
		}
		// Break one thing at a time, so that each rule is sometimes the one that decides.
		switch rapid.IntRange(0, 6).Draw(t, "what") {
		case 0:
			m.Service = name.Draw(t, "service")
		case 1:
			m.Keys = columns()
		case 2:
			m.Request = columns()
		case 3:
			m.Features = make([]string, count(10_000))
		case 4:
			m.Fingerprint = name.Draw(t, "fingerprint")
		case 5:
			m.KnownFingerprint = name.Draw(t, "known")
		}
		var r wire.Read
		r.Set(m)
		err := (&refusal{broken: connect.NewRequest(m)}).err(t.Context())
		broken := connect.CodeOf(err) == connect.CodeInvalidArgument
		if r.Valid() == broken {
			t.Fatalf("valid: %v, and protovalidate says %v", r.Valid(), err)
		}
	})
}

// Over every protocol, the error names the violated rule.
func TestBrokenRulesAreNamed(t *testing.T) {
	f := start(t, nil)
	for name, opts := range protocolOptions {
		keys, request := row(1)
		_, err := f.client(t, opts...).GetFeatures(t.Context(), strings.Repeat("x", 513), keys, request)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "service: must be at most 512 characters") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// message builds the protobuf message of an answer, which the encoders must agree with.
func message(s *service, q *query, a *answer, compact bool) (*unskewv1.GetFeaturesResponse, error) {
	res := &unskewv1.GetFeaturesResponse{AsOfMicros: int64(a.asOf), Rows: uint32(q.n)}
	if !compact {
		res.Fingerprint = s.fingerprint
	}
	for _, o := range q.outputs {
		col, places := a.cols[o], a.places[o]
		v := vector.New(col.Vec.Type, q.n)
		out := &unskewv1.Output{Type: s.types[o]}
		reasons := make([]unskewv1.Status, q.n)
		for i := range q.n {
			p := places.Of(i)
			v.Set(i, col.Vec.Value(p))
			out.Statuses = append(out.Statuses, unskewv1.Status(col.Status[p]))
			if reasons[i] = unskewv1.Status(col.Reason[p]); reasons[i] != 0 {
				out.Reasons = reasons
			}
		}
		if q.stale != nil && q.stale[o] {
			out.Statuses, out.Reasons = slices.Repeat([]unskewv1.Status{unskewv1.Status_STATUS_STALE}, q.n), out.Statuses
		}
		var err error
		if out.Column, err = wire.Column(s.outputs[o].Name, v); err != nil {
			return nil, err
		}
		if compact {
			out.Column.Name, out.Type = "", ""
			if len(out.Statuses) > 0 && out.Statuses[0] == unskewv1.Status_STATUS_STALE {
			} else if !slices.ContainsFunc(col.Status, func(s kernel.Status) bool { return s != kernel.Present }) {
				out.Statuses = nil
			}
		}
		res.Outputs = append(res.Outputs, out)
	}
	addFreshness(res, s, q)
	return res, nil
}

// addFreshness adds what an answer says about freshness.
func addFreshness(res *unskewv1.GetFeaturesResponse, s *service, q *query) {
	unknown, most := false, uint64(0)
	for v, f := range q.fresh {
		m := &unskewv1.ViewFreshness{View: s.plan.Views[v].As, Generation: f.Generation.Number, Position: f.Position, Lag: f.Lag}
		read := slices.ContainsFunc(q.outputs, func(o int) bool { return slices.Contains(s.behind[o], v) })
		if f.known {
			m.CompleteMicros = proto.Int64(int64(f.Complete))
		}
		if read {
			most, unknown = max(most, uint64(f.staleness)), unknown || !f.known
		}
		if q.report {
			res.Freshness = append(res.Freshness, m)
		}
	}
	if !unknown && slices.ContainsFunc(q.outputs, func(o int) bool { return len(s.behind[o]) > 0 }) {
		res.StalenessMicros = proto.Uint64(most)
	}
}

func drawFreshness(t *rapid.T, s *service, q *query) {
	q.report = rapid.Bool().Draw(t, "with freshness")
	number := rapid.SampledFrom([]uint64{0, 1, 1 << 40})
	for range s.plan.Views {
		f := viewFreshness{staleness: plan.Micros(number.Draw(t, "staleness")), known: rapid.Bool().Draw(t, "known")}
		f.Generation.Number, f.Position, f.Lag = number.Draw(t, "generation"), number.Draw(t, "position"), number.Draw(t, "lag")
		f.Complete = plan.EventTime(number.Draw(t, "complete")) - 1
		q.fresh = append(q.fresh, f)
	}
	if rapid.Bool().Draw(t, "stale") {
		q.stale = rapid.SliceOfN(rapid.Bool(), len(s.outputs), len(s.outputs)).Draw(t, "stale outputs")
	}
}

// An encoded answer equals the message of its columns: full and compact, binary and JSON.
func TestAnswersEqualTheirMessages(t *testing.T) {
	s := testService(t)
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SampledFrom([]int{1, 1, 2, 3, 20}).Draw(t, "rows")
		q, a := &query{n: rows}, &answer{asOf: plan.EventTime(rapid.SampledFrom([]int64{0, 1, -5, int64(noon)}).Draw(t, "as of"))}
		for o, out := range s.outputs {
			distinct := rapid.IntRange(1, rows).Draw(t, "distinct")
			col := kernel.FeatureColumn{Vec: vector.New(out.Type, distinct), Reason: make([]kernel.Status, distinct)}
			for i := range distinct {
				status := kernel.Status(rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3, 4, 5}).Draw(t, "status"))
				col.Status = append(col.Status, status)
				if status != kernel.Present {
					col.Absent++
				}
				switch status {
				case kernel.Defaulted:
					col.Reason[i] = kernel.Empty
				case kernel.Empty, kernel.UnknownEntity:
					col.Vec.SetNull(i)
				case kernel.Failed:
					col.Vec.SetErr(i)
				}
				switch {
				case !col.Vec.Valid(i):
				case vector.Lane(out.Type) == plan.Int:
					col.Vec.Int[i] = rapid.SampledFrom([]int64{0, 1, 127, 128, 1 << 20, 1<<62 + 1, -1}).Draw(t, "int")
				case vector.Lane(out.Type) == plan.Double:
					col.Vec.Double[i] = rapid.Float64().Draw(t, "double")
				}
				if out.Type.Kind == plan.List && col.Vec.Valid(i) {
					col.Vec.Set(i, plan.ListValue([]plan.Value{plan.StringValue("é")}))
				}
			}
			places := wire.RowMap(nil)
			if distinct < rows {
				places = rapid.SliceOfN(rapid.Int32Range(0, int32(distinct-1)), rows, rows).Draw(t, "places")
			}
			a.cols, a.places = append(a.cols, &col), append(a.places, places)
			if rapid.Bool().Draw(t, "asked for") {
				q.outputs = append(q.outputs, o)
			}
		}
		drawFreshness(t, s, q)
		compact := rapid.Bool().Draw(t, "compact")
		want, err := message(s, q, a, compact)
		if err != nil {
			t.Fatal(err)
		}
		var got unskewv1.GetFeaturesResponse
		b, err := s.append(nil, q, a, encoding{compact: compact, most: 1 << 30})
		if err != nil || proto.Unmarshal(b, &got) != nil || !proto.Equal(&got, want) {
			t.Fatalf("binary: %v, %v\nwant %v", err, &got, want)
		}
		b, err = s.append(nil, q, a, encoding{compact: compact, json: true, most: 1 << 30})
		if err != nil || protojson.Unmarshal(b, &got) != nil || !proto.Equal(&got, want) {
			t.Fatalf("JSON: %v, %s\nwant %v", err, b, want)
		}
	})
}

// Answers to callers on this machine are compressed only if the caller refuses everything
// else, because HTTP clients accept gzip by default.
func TestCompressionIsOptIn(t *testing.T) {
	for remote, accepts := range map[string]map[string]string{
		"127.0.0.1:99": {"gzip": "", "gzip, deflate, br": "", "": "", "gzip, identity;q=0": "gzip", "identity; q=0.0, gzip": "gzip",
			"gzip;q=0, identity;q=0": "", "br, identity;q=0": "", "gzip, identity": "", "gzip, identity;q=0.5": ""},
		"[::1]:99":               {"gzip": ""},
		"[::ffff:127.0.0.1]:99":  {"gzip": ""},
		"@":                      {"gzip": ""}, // a unix socket
		"192.0.2.1:99":           {"gzip": "gzip", "gzip, identity;q=0": "gzip", "": ""},
		"[2001:db8::1%eth0]:443": {"gzip": "gzip"},
	} {
		for accepted, want := range accepts {
			req := &http.Request{RemoteAddr: remote, Header: http.Header{"Accept-Encoding": {accepted}, "Grpc-Accept-Encoding": {accepted}}}
			compressOnRequest(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != want {
					t.Errorf("from %s, %q: %q, want %q", remote, accepted, got, want)
				}
				if strings.HasPrefix(remote, "192") && r.Header.Get("Grpc-Accept-Encoding") != accepted {
					t.Errorf("from %s: gRPC's header was changed", remote)
				}
			})).ServeHTTP(nil, req)
		}
	}
}
