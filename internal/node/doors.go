package node

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"postern.dev/postern"
	"postern.dev/postern/internal/advice"
	"postern.dev/postern/internal/console"
	"postern.dev/postern/internal/docsite"
	"postern.dev/postern/internal/door"
	"postern.dev/postern/internal/door/identity"
	"postern.dev/postern/internal/gateway"
	"postern.dev/postern/internal/httpapi"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/signin"
)

// doors are the ways in, and what must run for them.
type doors struct {
	door     *door.Door
	identity *identity.Issuer
	proxy    *gateway.Gateway
	advice   *advice.Service // of the API and of the console
	admin    http.Handler
	gateway  http.Handler
	workers  map[string]func(context.Context) error

	moved    chan struct{} // signalled when an upstream changed
	stopping chan struct{} // closed when Run begins to end
}

// openDoors builds the doors over the rooms.
func (n *Node) openDoors() (err error) {
	cfg, d := n.Config, &n.doors
	d.moved, d.stopping = make(chan struct{}, 1), make(chan struct{})
	if d.door, err = door.New(door.Config{Verifier: n.Verifier, TrustedProxies: cfg.Proxies, DocsURL: cfg.PublicURL + "/docs", Log: cfg.Log,
		LegacyHeader: cfg.LegacyHeader, LegacyQuery: cfg.LegacyQuery, LegacyPage: cfg.LegacyLink, InAddress: n.legacy.onInAddress}); err != nil {
		return err
	}
	if d.identity, err = identity.New(identity.Config{Verifier: n.Verifier, Pepper: n.Pepper, Issuer: cfg.PublicURL}); err != nil {
		return err
	}
	builtin := map[string]http.Handler{}
	if n.CRM != nil {
		builtin[keyring.BuiltinURL+"crm"] = n.CRM.Handler()
	}
	if d.proxy, err = gateway.New(gateway.Config{Door: d.door, Identity: d.identity, Builtin: builtin, Log: cfg.Log}); err != nil {
		return err
	}
	d.gateway = d.proxy
	if err := n.readUpstreams(context.Background()); err != nil {
		return err
	}
	if err := n.openLeaks(); err != nil {
		return err
	}
	d.advice = advice.NewService(n.Keyring, n.Activity, cfg.Now)
	api, err := httpapi.New(httpapi.Config{Advice: d.advice, Leaks: n.Leaks, Keyring: n.Keyring, Verifier: n.Verifier, Activity: n.Activity, DB: n.DB, Door: d.door,
		Auditor: n.Auditor, Leads: n.leads, PublicURL: cfg.PublicURL, Version: cfg.Version, Stopping: d.stopping, Warnings: n.warnings, Journal: n.journalState(), Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return err
	}
	web, err := n.openConsole()
	if err != nil {
		return err
	}
	d.admin, err = n.adminMux(api, web)
	d.workers = map[string]func(context.Context) error{"gateway": d.proxy.Run, "upstreams": n.followUpstreams, "notifications": n.Notifier.Run, "audit": n.Auditor.Run, "legacy": n.learnLegacy, "durability": n.watchDurability, "lead": n.elect, "usage": n.mergeUsage}
	n.openWatchers()
	n.openJournal()
	if n.limits != nil {
		d.workers["limits"] = n.keepLimits
	}
	return err
}

// openConsole builds the web console, and who signs in to it.
func (n *Node) openConsole() (*console.Console, error) {
	cfg := n.Config
	var err error
	n.Signin, err = signin.New(signin.Config{DB: n.DB, Pepper: n.Pepper, Keyring: n.Keyring, Brand: cfg.Brand, PublicURL: cfg.PublicURL, Providers: cfg.Providers,
		Idle: cfg.SessionIdle, Absolute: cfg.SessionLife, Fresh: cfg.SessionFresh, Now: cfg.Now, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	return console.New(console.Config{Advice: n.doors.advice, Leaks: n.Leaks, Keyring: n.Keyring, Verifier: n.Verifier, Activity: n.Activity, DB: n.DB, Signin: n.Signin, Door: n.doors.door, Auditor: n.Auditor,
		PublicURL: cfg.PublicURL, GatewayURL: cfg.GatewayURL, Docs: docsite.Path, LegacyHeader: cfg.LegacyHeader, LegacyQuery: cfg.LegacyQuery, InventoryUnpacked: cfg.InventoryUnpacked, Version: cfg.Version, Stopping: n.doors.stopping, Now: cfg.Now, Log: cfg.Log})
}

// apiPaths are where the management API answers; everything else is the console's.
var apiPaths = []string{"/v1/", "/openapi.json", "/healthz", "/readyz", "/metrics"}

// adminMux puts the doors that speak protocols of others beside the management API, and the console under all.
func (n *Node) adminMux(api http.Handler, web *console.Console) (http.Handler, error) {
	d := &n.doors
	authorize, err := httpapi.AuthorizeHandler(httpapi.AuthorizeConfig{Door: d.door, Identity: d.identity, Peers: n.Config.ForwardPeers})
	if err != nil {
		return nil, err
	}
	pages, err := docsite.New()
	if err != nil {
		return nil, err
	}
	github, err := n.githubLeaks()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if github != nil {
		mux.Handle("/leaks/github", github)
	}
	mux.Handle("/docs", pages)
	mux.Handle(docsite.Path, pages)
	mux.Handle("/", web.Handler())
	for _, path := range apiPaths {
		mux.Handle(path, api)
	}
	mux.Handle("/v1/verify", httpapi.VerifyHandler(d.door))
	mux.Handle("/authorize", authorize)
	mux.Handle("/authorize/", authorize)
	mux.Handle("/oauth/introspect", httpapi.IntrospectHandler(d.door, n.Config.PublicURL))
	mux.Handle("/.well-known/jwks.json", d.identity.JWKS())
	return mux, nil
}

// readUpstreams tells the doors of the upstreams as they are now. Those whose
// compiled-in API isn't served by this node, or whose record was altered, are left out.
func (n *Node) readUpstreams(ctx context.Context) error {
	ups, err := n.DB.Upstreams(ctx)
	if err != nil {
		return err
	}
	ups = slices.DeleteFunc(ups, func(u postern.Upstream) bool {
		return u.Altered || strings.HasPrefix(u.URL, keyring.BuiltinURL) && n.CRM == nil
	})
	n.doors.door.Set(ups)
	return n.doors.proxy.Set(ups)
}

// followUpstreams reads the upstreams anew whenever one changed.
func (n *Node) followUpstreams(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.doors.moved:
			if err := n.readUpstreams(ctx); err != nil && ctx.Err() == nil {
				n.Config.Log.Error("can't read the upstreams", "err", err)
			}
		}
	}
}

// applied is told of changes once verification goes by them; none at all means
// that anything may have changed. It must not block.
func (n *Node) applied(changes []postern.Change) {
	if n.doors.proxy == nil {
		return
	}
	if n.leads() {
		n.Notifier.Poke()
	}
	if n.Journal != nil {
		n.Journal.Poke()
	}
	n.doors.identity.Applied(changes)
	n.doors.proxy.Applied(changes)
	if len(changes) == 0 || slices.ContainsFunc(changes, func(c postern.Change) bool { return c.Kind == postern.ChangeCatalog }) {
		select {
		case n.doors.moved <- struct{}{}:
		default:
		}
	}
}
