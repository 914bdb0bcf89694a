package serving

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/unskew/unskew/internal/access"
	"github.com/unskew/unskew/internal/limits"
	"github.com/unskew/unskew/internal/recompute"
	"github.com/unskew/unskew/internal/text"
)

// DefaultListen is the address that is listened on without a flag.
const DefaultListen = "127.0.0.1:7171"

// Flags are the flags of a command that serves a project.
type Flags struct {
	Listen       string
	TLS          access.TLS
	Callers      string   // path of the callers file; "": everyone on this machine
	Hosts        []string // names of a proxy
	Grace        time.Duration
	MaxStaleness time.Duration
	NearCache    string // a size
	ServedLog    string // a rate; "": that of unskew.yaml
	Parity       bool
	Strict       bool
	ParityMemory string // a size
}

// sizes are the sizes that flags say, in bytes.
type sizes struct{ near, keep int64 }

// Register adds the flags to those of a command.
func (f *Flags) Register(to *pflag.FlagSet) {
	to.StringVar(&f.Listen, "listen", DefaultListen, "listen on `ADDRESS`; port 0 is any free one. Beyond the loopback interface TLS and callers are needed")
	to.StringVar(&f.TLS.Certificate, "tls-cert", "", "serve over TLS with the certificate chain in `FILE`, in PEM")
	to.StringVar(&f.TLS.Key, "tls-key", "", "the private key of --tls-cert, in PEM: `FILE`")
	to.StringVar(&f.TLS.ClientCA, "client-ca", "", "accept client certificates signed by the authorities in `FILE`")
	to.StringVar(&f.Callers, "callers", "", "answer only the callers in `FILE`, with their roles; see unskew token --help")
	to.StringSliceVar(&f.Hosts, "host", nil, "without --callers, also answer requests for `NAME`, to which a proxy on this machine has been called")
	to.DurationVar(&f.Grace, "grace", 0, "answer for `TIME` after an interrupt while not ready, as in 10s")
	to.DurationVar(&f.MaxStaleness, "max-staleness", 0, "not be ready while a view over a stream is staler than `TIME`, as in 5m")
	to.StringVar(&f.ServedLog, "served-log", "", "record `RATE` of the rows that are answered, as in 1%, for services without a rate in unskew.yaml (default: served_log there)")
	to.BoolVar(&f.Parity, "parity", false, "compute what the served log records again, in a twentieth of the time of one core; see /parity")
	to.BoolVar(&f.Strict, "strict", false, "refuse Redis servers with which acknowledged events could be lost: not start, and not be ready")
	to.StringVar(&f.ParityMemory, "parity-memory", fmt.Sprintf("%dMiB", recompute.DefaultKeepBytes>>20), "with --parity, keep the events of recorded entities in at most `SIZE` of memory, of fewer if need be")
	to.StringVar(&f.NearCache, "near-cache", fmt.Sprintf("%dMiB", limits.NearCacheBytes>>20), "keep what reads have made of states, in at most `SIZE` of memory; 0 keeps nothing")
}

// check returns the sizes that flags say, and an error if a flag has a value that is none.
func (f *Flags) check() (out sizes, err error) {
	for flag, d := range map[string]time.Duration{"--grace": f.Grace, "--max-staleness": f.MaxStaleness} {
		if d < 0 {
			return out, fmt.Errorf("%s: %v is negative; write a time such as 10s, or leave the flag out", flag, d)
		}
	}
	if out.keep, err = text.ParseSize(f.ParityMemory); err == nil && out.keep == 0 {
		err = errors.New("write a size such as 256MiB")
	}
	if err != nil {
		return out, fmt.Errorf("--parity-memory: %w", err)
	}
	if f.NearCache == "0" {
		return out, nil
	}
	if out.near, err = text.ParseSize(f.NearCache); err == nil && out.near == 0 {
		err = errors.New("write a size such as 64MiB, or 0 to keep nothing")
	}
	if err != nil {
		return out, fmt.Errorf("--near-cache: %w", err)
	}
	return out, nil
}
