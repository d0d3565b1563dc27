package cli

import "github.com/spf13/cobra"

func topicExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit status of a command means", Long: `The exit status says how a command ended:

    0  it is done; verify: the credential may do this
    1  a failure that nobody expected
    2  the command line is wrong, or the server refused what it was given
    3  verify: the credential may not do this
    4  what was named isn't there, or isn't yours to see
    5  you are not signed in, or not permitted
    6  what was named is in another state, or someone else changed it meanwhile;
       catalog check and audit verify: what was checked isn't sound
    7  the server can't be reached, can't tell now, or took too long: try again
    8  scan: secrets were found
    9  scan: secrets were found that work, or could again
  130  stopped: by Ctrl-C, or because a question was answered with no

A script may repeat what ended with 7. What ended with another one fails again
until something is different.`}
}

func topicEnvironment() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "The variables that commands read", Long: `Commands that talk to a server read these variables. They stand above the saved
login, and flags above them:

  POSTERN_SERVER       the server's URL, such as https://postern.example.org
  POSTERN_SECRET       the personal access key to present
  POSTERN_SECRET_FILE  a file that holds it; - is the standard input
  POSTERN_PROFILE      the saved login to use, as --profile
  POSTERN_ALLOW_HTTP   yes: send the key over plain HTTP to another machine
  XDG_CONFIG_HOME      where postern/config.json is, which holds saved logins;
                       unless set ~/.config

The key of a saved login goes to that login's server only: where POSTERN_SERVER
names another one, it needs POSTERN_SECRET or POSTERN_SECRET_FILE beside it.

  NO_COLOR             anything: no colours
  COLUMNS              the width that tables fit, instead of the terminal's
  ACCESSIBLE           anything: questions in plain lines, for screen readers
  SSL_CERT_FILE        certificates to trust instead of the system's

What the server itself reads is in "postern serve --help".`}
}
