package main

import (
	"os"

	"github.com/unskew/unskew/sdk"
)

// envToken is the environment variable with the token that commands send to a server.
const envToken = "UNSKEW_TOKEN"

// newClient returns a client of the server at a URL.
func newClient(url string) (*sdk.Client, error) {
	return sdk.New(url, sdk.WithToken(os.Getenv(envToken)))
}
