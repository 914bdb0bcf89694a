package redistest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// slots is how many hash slots a Redis cluster has.
const slots = 16384

// Access is what servers on loopback ports ask of those who connect; the zero Access is nothing.
type Access struct {
	Password             string   // of the user default, for clients and among the servers
	Users                []string // rules of more users, as in "app on >secret ~* &* +@all"
	CA, Certificate, Key string   // files, for TLS with client certificates, "" without
}

// args are what a server is told. Sentinels have no users, and are given their own password.
func (a Access) args(port string) []string {
	args := []string{"--bind", "127.0.0.1", "--port", port}
	if a.CA != "" {
		args = []string{
			"--bind", "127.0.0.1", "--port", "0", "--tls-port", port, "--tls-replication", "yes",
			"--tls-ca-cert-file", a.CA, "--tls-cert-file", a.Certificate, "--tls-key-file", a.Key,
		}
	}
	if a.Password != "" {
		args = append(args, "--requirepass", a.Password, "--masterauth", a.Password)
	}
	for _, user := range a.Users {
		args = append(append(args, "--user"), strings.Fields(user)...)
	}
	return args
}

// client is a client of one server.
func (a Access) client(t testing.TB, address string) (rueidis.Client, error) {
	t.Helper()
	o := rueidis.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true, Password: a.Password}
	if filepath.IsAbs(address) {
		o.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	if a.CA != "" {
		pair, err := tls.LoadX509KeyPair(a.Certificate, a.Key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(a.CA)
		if err != nil {
			t.Fatal(err)
		}
		o.TLSConfig = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{pair}}
		o.TLSConfig.RootCAs.AppendCertsFromPEM(text)
	}
	return rueidis.NewClient(o)
}

// StartTCP starts a server on a loopback port. The arguments are those of Start.
func StartTCP(t testing.TB, access Access, args ...string) *Server {
	t.Helper()
	port := freePorts(t, 1)[0]
	s := &Server{Address: net.JoinHostPort("127.0.0.1", port), dir: makeDir(t), access: access, args: append(access.args(port), args...)}
	t.Cleanup(s.Kill)
	s.start(t)
	return s
}

// StartCluster starts a cluster of servers on loopback ports, without replicas,
// and returns them when it takes requests. The arguments are those of Start.
func StartCluster(t testing.TB, size int, args ...string) []*Server {
	t.Helper()
	return startCluster(t, size, Access{}, append([]string{"--cluster-node-timeout", "15000"}, args...))
}

func startCluster(t testing.TB, size int, access Access, args []string) []*Server {
	t.Helper()
	servers := make([]*Server, size)
	for i := range servers {
		servers[i] = startNode(t, access, args)
		first, last := i*slots/size, (i+1)*slots/size-1
		servers[i].Ask(t, "CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(first), fmt.Sprint(last))
		// Two of them with one epoch would have to agree first on which of them gets another.
		servers[i].Ask(t, "CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
	}
	for _, s := range servers[1:] {
		servers[0].meet(t, s)
	}
	for _, s := range servers {
		s.awaitCluster(t, size)
	}
	return servers
}

// meet makes two servers know each other.
func (s *Server) meet(t testing.TB, other *Server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(other.Address)
	s.Ask(t, "CLUSTER", "MEET", host, port, other.busPort)
}

// nodeTimeout is after how many milliseconds without an answer a node of a cluster with replicas, or a server that sentinels watch,
// counts as failed. A busy machine must not make failovers of its own.
const nodeTimeout = "2000"

func startNode(t testing.TB, access Access, args []string) *Server {
	t.Helper()
	ports := freePorts(t, 2)
	s := &Server{Address: net.JoinHostPort("127.0.0.1", ports[0]), dir: makeDir(t), busPort: ports[1], access: access}
	s.args = append(access.args(ports[0]),
		"--cluster-enabled", "yes", "--cluster-port", ports[1], "--cluster-replica-validity-factor", "0")
	if access.CA != "" {
		s.args = append(s.args, "--tls-cluster", "yes")
	}
	s.args = append(s.args, args...)
	t.Cleanup(s.Kill)
	s.start(t)
	return s
}

// freePorts finds loopback ports that nobody listens on.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

// Ask sends a command to this server alone and returns its answer as text.
func (s *Server) Ask(t testing.TB, command ...string) string {
	t.Helper()
	answer, err := s.try(t, command...)
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return answer
}

// try is Ask for a server that may close connections, as one does whose role changes.
func (s *Server) try(t testing.TB, command ...string) (string, error) {
	t.Helper()
	client, err := s.access.client(t, s.Address)
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", s.Address, err)
	}
	defer client.Close()
	answer, err := client.Do(context.Background(), client.B().Arbitrary(command...).Build()).ToAny()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", err
	}
	return fmt.Sprint(answer), nil
}

// awaitCluster waits until this server knows the others and all slots.
func (s *Server) awaitCluster(t testing.TB, size int) {
	t.Helper()
	await(t, "the cluster is not ready", func() (bool, string) {
		info := s.Ask(t, "CLUSTER", "INFO")
		return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", size)), info
	})
}

// await waits until something is so.
func await(t testing.TB, not string, is func() (bool, string)) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.After(patience); ; {
		ok, about := is()
		if ok {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s after %v:\n%s", not, patience, about)
		}
	}
}
