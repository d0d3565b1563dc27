// Command notes is a small API to try Postern with. It knows nothing of keys: it
// shows what the gateway tells it about the caller.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/status", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up") })
	mux.HandleFunc("/api/notes", notes)
	mux.HandleFunc("/api/notes/{id}", notes)
	log.Print("The notes API is at http://127.0.0.1:9000/api")
	log.Fatal(http.ListenAndServe("127.0.0.1:9000", mux))
}

func notes(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s\naccount %s\nkey     %s\nscopes  %s\n", r.Method, r.URL.Path,
		r.Header.Get("Postern-Account"), r.Header.Get("Postern-Key"), r.Header.Get("Postern-Scopes"))
}
