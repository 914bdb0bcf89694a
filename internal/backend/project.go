package backend

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redisconn"
)

// Environment variables that override or complete unskew.yaml.
const (
	EnvRedisAddresses = "UNSKEW_REDIS_ADDRESSES" // host:port, comma separated; switches to Redis
	EnvRedisPassword  = "UNSKEW_REDIS_PASSWORD"
	EnvDataDir        = "UNSKEW_DATA"
)

// Of returns the log and store that unskew.yaml and the environment configure for a project.
func Of(p *featuredefs.Project) Config {
	r := redisOf(p.Online.Redis)
	if r == nil {
		return Config{Dir: DataDir(p), Archive: archiveDir(p)}
	}
	conn := redisconn.Options{
		Addresses: r.Addresses, Username: r.Username, Password: redisconn.Secret(os.Getenv(EnvRedisPassword)), DB: r.DB, Namespace: r.Prefix,
	}
	if conn.Namespace == "" {
		conn.Namespace = "unskew." + p.Name
	}
	if r.TLS {
		conn.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return Config{Redis: &conn, Archive: archiveDir(p)}
}

// archiveDir returns the folder of records that were archived.
func archiveDir(p *featuredefs.Project) string { return folder(p, p.Online.Archive, "archive") }

// folder returns the folder that unskew.yaml declares, or the default one in the data folder.
func folder(p *featuredefs.Project, declared, name string) string {
	if declared == "" {
		return filepath.Join(DataDir(p), name)
	}
	return inProject(p, declared)
}

// inProject is a path that may be relative to the project.
func inProject(p *featuredefs.Project, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

// DataDir returns the folder of the project's embedded data and other local state.
func DataDir(p *featuredefs.Project) string {
	dir := p.Online.DataDir
	if override := os.Getenv(EnvDataDir); override != "" {
		dir = override
	}
	return inProject(p, dir)
}

// redisOf applies the environment to what unskew.yaml says of Redis.
func redisOf(declared *featuredefs.Redis) *featuredefs.Redis {
	list := os.Getenv(EnvRedisAddresses)
	if list == "" {
		return declared
	}
	r := featuredefs.Redis{}
	if declared != nil {
		r = *declared
	}
	r.Addresses = nil
	for address := range strings.SplitSeq(list, ",") {
		r.Addresses = append(r.Addresses, strings.TrimSpace(address))
	}
	return &r
}
