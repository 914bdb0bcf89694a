package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// compressFrom is the size from which responses are compressed for clients that
// accept it; below it gzip costs more time than it saves.
const compressFrom = 16 << 10

// compressOnRequest keeps answers uncompressed where nobody benefits: gzip takes longer
// than the loopback interface takes to carry an answer as it is, and HTTP clients accept
// gzip without being asked to. A caller on this machine who wants it refuses everything
// else, as HTTP has it: "Accept-Encoding: gzip, identity;q=0".
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

// mayCompress reports whether the answer to a request may be compressed.
func mayCompress(r *http.Request) bool {
	accepted := r.Header.Get("Accept-Encoding")
	return accepted != "" && (wantsGzip(accepted) || !fromLoopback(r.RemoteAddr))
}

// wantsGzip reports whether a list of encodings has gzip and refuses no encoding.
func wantsGzip(accepted string) bool {
	if !strings.Contains(accepted, "identity") {
		return false
	}
	gzip, refused := false, false
	for part := range strings.SplitSeq(accepted, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		none := strings.TrimRight(strings.ReplaceAll(strings.TrimSpace(weight), " ", ""), "0.") == "q="
		switch strings.TrimSpace(name) {
		case "gzip":
			gzip = !none
		case "identity":
			refused = none
		}
	}
	return gzip && refused
}

// fromLoopback reports whether a request came over the loopback interface or a unix socket.
func fromLoopback(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	return err != nil || a.Addr().Unmap().IsLoopback()
}
