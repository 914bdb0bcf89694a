package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// compressFrom is the size from which responses are compressed for clients that accept it; for
// smaller ones gzip costs more time than it saves.
const compressFrom = 16 << 10

// compressOnRequest disables compression for callers on this machine: gzip takes longer than
// sending the answer uncompressed over the loopback interface, and HTTP clients accept gzip by
// default. Such a caller gets gzip if it refuses everything else: "Accept-Encoding: gzip,
// identity;q=0".
func compressOnRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case wantsGzip(r.Header.Get("Accept-Encoding")):
			r.Header.Set("Accept-Encoding", "gzip")
		case fromLoopback(r.RemoteAddr):
			for _, name := range []string{"Accept-Encoding", "Grpc-Accept-Encoding"} {
				delete(r.Header, name)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// mayCompress reports whether the answer to a request may be compressed. header is the one in which
// its protocol lists the encodings that the caller accepts.
func mayCompress(r *http.Request, header string) bool {
	accepted := r.Header.Get(header)
	return accepted != "" && (wantsGzip(r.Header.Get("Accept-Encoding")) || !fromLoopback(r.RemoteAddr))
}

// wantsGzip reports whether an Accept-Encoding list has gzip and refuses to take an answer as it is.
func wantsGzip(accepted string) bool {
	if !strings.Contains(accepted, "identity") {
		return false
	}
	gzip, identityRefused := encodings(accepted)
	return gzip && identityRefused
}

// encodings reads an Accept-Encoding list.
func encodings(accepted string) (gzip, identityRefused bool) {
	for part := range strings.SplitSeq(accepted, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		none := strings.TrimRight(strings.ReplaceAll(strings.TrimSpace(weight), " ", ""), "0.") == "q="
		switch strings.TrimSpace(name) {
		case "gzip":
			gzip = !none
		case "identity":
			identityRefused = none
		}
	}
	return gzip, identityRefused
}

// fromLoopback reports whether a request came over the loopback interface or a unix socket.
func fromLoopback(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	return err != nil || a.Addr().Unmap().IsLoopback()
}
