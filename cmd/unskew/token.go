package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unskew/unskew/internal/access"
)

// callerName matches names that need no quotes in a callers file.
var callerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

func newToken(o *options) *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "token NAME",
		Short: "Make a token for a caller of a server",
		Long: `Makes a token of 256 random bits and prints it, and the caller's entry for the callers file
of serve --callers. The file has only the hash, so the token is shown once. A caller may have
several tokens, so that a new one can be put into use before the old one is removed; the
server reads the file again when it changes.`,
		Example: `  unskew token checkout --role read
  unskew token ingest --role push
  curl -H "Authorization: Bearer $TOKEN" https://features.example:7171/openapi.json`,
		Args: takes(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if !callerName.MatchString(args[0]) {
				return fmt.Errorf("caller %q: use letters, digits, '.', '_' and '-', beginning with a letter", args[0])
			}
			for _, r := range roles {
				if !slices.Contains(access.Roles, access.Role(r)) {
					return fmt.Errorf("--role %s: the roles are read, push, train and admin", r)
				}
			}
			token := access.NewToken()
			if o.json {
				return printJSON(c, map[string]any{"name": args[0], "roles": roles, "token": token, "sha256": access.HashToken(token)})
			}
			fmt.Fprintf(c.OutOrStdout(), "%s\n\n# under callers: in the callers file\n- name: %s\n  roles: [%s]\n  tokens: [\"%s\"]\n",
				token, args[0], strings.Join(roles, ", "), access.HashToken(token))
			return nil
		},
	}
	c.Flags().StringSliceVar(&roles, "role", []string{string(access.Read)}, "let the caller `DO` this: read, push, train or admin")
	completeFlag(c, "role", cobra.FixedCompletions([]cobra.Completion{"read", "push", "train", "admin"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}
