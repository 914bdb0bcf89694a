package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/unskew/unskew/internal/dev/bench/workload"
	unskewv1 "github.com/unskew/unskew/proto/unskew/v1"
)

// protocol is how a contestant sends requests.
type protocol int

const (
	toFloor      protocol = iota
	compactProto          // like the client of package sdk from its second call on
	nearProto             // the same, of a server with a near cache
	connectProto
	connectJSON
	connectHTTP2
	grpcProto
	bareHTTP1 // a net/http handler that only reads the request and responds
	bareHTTP2
)

func (p protocol) String() string {
	return [...]string{"the floor", "Connect, compact", "near cache", "Connect", "JSON", "Connect over HTTP/2", "gRPC", "bare HTTP/1", "bare HTTP/2"}[p]
}

// ofFloor reports whether the floor's process serves the protocol.
func (p protocol) ofFloor() bool { return p == toFloor || p == bareHTTP1 || p == bareHTTP2 }

const readPath = "/unskew.v1.FeatureService/GetFeatures"

func (p protocol) dial(address string) (caller, error) {
	switch p {
	case grpcProto:
		return dialHTTP2(address, true)
	case connectHTTP2, bareHTTP2:
		return dialHTTP2(address, false)
	}
	return dialPlain(address)
}

// request makes a request for all features of the first views of some users. A request to the
// floor includes the length of the response.
func (t *tested) request(p protocol, views int, users []int, length int) ([]byte, error) {
	ids := make([]int64, len(users))
	for i, u := range users {
		ids[i] = workload.UserID(u)
	}
	message := &unskewv1.GetFeaturesRequest{Service: fmt.Sprintf("s%d", views), Keys: []*unskewv1.Column{
		{Name: "user", Values: &unskewv1.Column_Ints{Ints: &unskewv1.Ints{Values: ids}}}}}
	if p == compactProto || p == nearProto {
		s, _ := t.plan.Service(message.Service)
		message.KnownFingerprint = s.Fingerprint.String()
	}
	body, err := proto.Marshal(message)
	if err != nil {
		return nil, err
	}
	switch p {
	case connectProto, compactProto, nearProto:
		return plainRequest(readPath, "application/proto", body), nil
	case connectJSON:
		if body, err = protojson.Marshal(message); err != nil {
			return nil, err
		}
		return plainRequest(readPath, "application/json", body), nil
	case connectHTTP2:
		return http2Request(readPath, body, "content-type", "application/proto", "content-length", strconv.Itoa(len(body)), "connect-protocol-version", "1", "accept-encoding", "gzip"), nil
	case grpcProto:
		return grpcRequest(readPath, body), nil
	}
	floor := binary.BigEndian.AppendUint32(nil, uint32(views))
	floor = binary.BigEndian.AppendUint32(floor, uint32(length))
	floor = binary.BigEndian.AppendUint32(floor, uint32(len(ids)))
	for _, id := range ids {
		floor = binary.BigEndian.AppendUint64(floor, uint64(id))
	}
	// As long as ours, where the users leave room.
	floor = append(floor, make([]byte, max(0, len(body)-len(floor)))...)
	switch p {
	case bareHTTP1:
		return plainRequest(barePath, "application/octet-stream", floor), nil
	case bareHTTP2:
		return http2Request(barePath, floor, "content-type", "application/octet-stream", "content-length", strconv.Itoa(len(floor))), nil
	}
	return plainRequest("/", "application/octet-stream", floor), nil
}

// check compares a response with features computed by hand.
func (t *tested) check(p protocol, answer []byte, views int, users []int, length int) error {
	if p.ofFloor() {
		if len(answer) != length {
			return fmt.Errorf("the answer has %d bytes, not the %d asked for", len(answer), length)
		}
		return nil
	}
	if bytes.HasPrefix(answer, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(answer))
		if err != nil {
			return err
		}
		if answer, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	res := &unskewv1.GetFeaturesResponse{}
	decode := proto.Unmarshal
	if p == connectJSON {
		decode = protojson.Unmarshal
	}
	if err := decode(answer, res); err != nil {
		return err
	}
	if len(res.GetOutputs()) != views*workload.FeaturesOfView {
		return fmt.Errorf("the answer has %d features, not %d", len(res.GetOutputs()), views*workload.FeaturesOfView)
	}
	for i, u := range users {
		byHand := workload.ByHand(t.orders[u], workload.Now)
		for f, o := range res.GetOutputs() {
			want := feature(byHand[f%workload.FeaturesOfView/5], f%5)
			if got := valueOf(o, i); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				return fmt.Errorf("user %d: %s is %v, by hand %v", u, o.GetColumn().GetName(), got, want)
			}
		}
	}
	return nil
}

// feature is number f of the five over one window.
func feature(v workload.Values, f int) float64 {
	return [5]float64{float64(v.Count), v.Sum, v.Mean, v.Max, float64(v.Distinct)}[f]
}

// valueOf is the value of a row, NaN if it has none.
func valueOf(o *unskewv1.Output, row int) float64 {
	if len(o.GetStatuses()) > 0 && o.GetStatuses()[row] != unskewv1.Status_STATUS_PRESENT {
		return math.NaN()
	}
	if ints := o.GetColumn().GetInts(); ints != nil {
		return float64(ints.GetValues()[row])
	}
	return o.GetColumn().GetDoubles().GetValues()[row]
}
