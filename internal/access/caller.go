package access

import (
	"context"
	"slices"
	"strings"
)

// Role is what a caller may do.
type Role string

// The roles. Admin includes the others and the metrics.
const (
	Read  Role = "read"  // read features and describe services
	Push  Role = "push"  // push events
	Train Role = "train" // build and read training sets
	Admin Role = "admin"
)

// Roles are all roles.
var Roles = []Role{Read, Push, Train, Admin}

// Caller is a known caller.
type Caller struct {
	Name     string
	roles    []Role
	services []string // those that it may read; nil: all
	sources  []string // those that it may push to; nil: all
}

// May reports whether the caller has a role.
func (c *Caller) May(r Role) bool {
	return slices.Contains(c.roles, r) || slices.Contains(c.roles, Admin)
}

// MayRead reports whether the caller may read a service.
func (c *Caller) MayRead(service string) bool { return c.May(Read) && allowed(c.services, service) }

// ReadsAll reports whether the services that the caller may read are not limited.
func (c *Caller) ReadsAll() bool { return c.services == nil }

// MayPush reports whether the caller may push events to a source.
func (c *Caller) MayPush(source string) bool { return c.May(Push) && allowed(c.sources, source) }

func allowed(names []string, name string) bool { return names == nil || slices.Contains(names, name) }

// RoleNames lists the caller's roles for messages.
func (c *Caller) RoleNames() string {
	names := make([]string, len(c.roles))
	for i, r := range c.roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

// callerKey is the context key of the caller.
type callerKey struct{}

// With returns a context of a call by c.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of a call; nil if callers are not authenticated.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
