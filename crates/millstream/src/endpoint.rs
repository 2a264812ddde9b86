//! Which endpoint a client command talks to, and in whose name.
//!
//! Without a word it is the server on this machine, never AWS: nobody should write to a bill by
//! forgetting a flag.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use millstream_client::{
    CallError, Client, ClientSettings, Credentials, CredentialsError, Endpoint, HttpVersion,
    Process, Surroundings, Trust, find_endpoint, find_region,
};
use millstream_wire::Codec;

use crate::exit::{Exit, Failure, Outcome};

/// Where a server listens unless told otherwise.
pub(crate) const LOCAL_ENDPOINT: &str = "http://127.0.0.1:4566";
/// The region of such a server unless told otherwise.
pub(crate) const LOCAL_REGION: &str = "us-east-1";

/// How requests are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecChoice {
    /// Text, as most SDKs use it.
    Json,
    /// Binary, as the Java SDKs use it: less to send, less to compute.
    Cbor,
}

impl CodecChoice {
    /// The codec itself.
    pub(crate) fn codec(self) -> Codec {
        match self {
            Self::Json => Codec::Json11,
            Self::Cbor => Codec::Cbor11,
        }
    }
}

/// Flags of every command that is a client.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Endpoint and credentials")]
pub(crate) struct EndpointFlags {
    /// Talk to this endpoint [default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, the profile's,
    /// or http://127.0.0.1:4566]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Talk to AWS itself, in the region
    #[arg(long, conflicts_with = "endpoint_url")]
    pub(crate) aws: bool,
    /// Sign for this region [default: what an endpoint of AWS tells, AWS_REGION, the profile's, or
    /// us-east-1]
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Take credentials from this profile of ~/.aws [default: AWS_* variables, then AWS_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Sign with this access key id; its secret is read from AWS_SECRET_ACCESS_KEY or from
    /// --secret-access-key
    #[arg(long, value_name = "ID")]
    pub(crate) access_key_id: Option<String>,
    /// Sign with this secret (others on this machine can see it in the list of processes)
    #[arg(long, value_name = "SECRET", requires = "access_key_id")]
    pub(crate) secret_access_key: Option<String>,
    /// Trust this certificate authority only, such as what `millstream tls ca` writes [default:
    /// AWS_CA_BUNDLE, or the system's]
    #[arg(long, value_name = "PEM-FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// How requests are encoded
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) codec: CodecChoice,
    /// Speak HTTP/2 instead of HTTP/1.1
    #[arg(long)]
    pub(crate) http2: bool,
}

impl EndpointFlags {
    /// The settings of a client as the flags, the environment and the profile say.
    pub(crate) fn settings(&self) -> Outcome<ClientSettings> {
        let profile = self.profile.as_deref();
        let region = self.region.clone().or_else(|| find_region(&Process, profile));
        if self.aws && region.is_none() {
            return Err(Failure::usage("which region of AWS?")
                .advise("add --region eu-central-1, say, or set AWS_REGION"));
        }
        let endpoint = self.endpoint()?;
        // An endpoint of AWS takes signatures for its own region only.
        let told = endpoint.as_ref().and_then(Endpoint::aws_region).map(ToOwned::to_owned);
        let region = self.region.clone().or(told).or(region);
        let region = region.unwrap_or_else(|| LOCAL_REGION.to_owned());
        let credentials = self.credentials(endpoint.as_ref())?;
        let mut settings = ClientSettings::new(&region, credentials);
        settings.endpoint = endpoint;
        settings.codec = self.codec.codec();
        settings.version = if self.http2 { HttpVersion::Http2 } else { HttpVersion::Http1 };
        let bundle = || Process.variable("AWS_CA_BUNDLE").map(PathBuf::from);
        settings.trust = self.ca.clone().or_else(bundle).map_or(Trust::System, Trust::File);
        Ok(settings)
    }

    /// A client as the flags, the environment and the profile say.
    pub(crate) fn client(&self) -> Outcome<Client> {
        connect(self.settings()?)
    }

    /// The endpoint; `None` is AWS's own.
    pub(crate) fn endpoint(&self) -> Outcome<Option<Endpoint>> {
        if self.aws {
            return Ok(None);
        }
        let profile = self.profile.as_deref();
        let named = self.endpoint_url.clone().or_else(|| find_endpoint(&Process, profile));
        let endpoint = named.as_deref().unwrap_or(LOCAL_ENDPOINT).parse();
        endpoint.map(Some).map_err(Failure::usage)
    }

    fn credentials(&self, endpoint: Option<&Endpoint>) -> Outcome<Credentials> {
        if let Some(id) = &self.access_key_id {
            let secret = self.secret_access_key.clone();
            let secret = secret.or_else(|| std::env::var("AWS_SECRET_ACCESS_KEY").ok());
            let secret_access_key = secret.ok_or_else(|| {
                Failure::usage("an access key id without its secret")
                    .advise("set AWS_SECRET_ACCESS_KEY, or add --secret-access-key")
            })?;
            let session_token = None;
            return Ok(Credentials { access_key_id: id.clone(), secret_access_key, session_token });
        }
        match Credentials::find(&Process, self.profile.as_deref()) {
            Ok(found) => Ok(found),
            // `millstream dev` takes anything; `serve` will say that it does not know this one.
            Err(CredentialsError::Missing { .. })
                if self.profile.is_none() && endpoint.is_some_and(Endpoint::is_loopback) =>
            {
                Ok(anonymous())
            }
            Err(error) => Err(Failure::usage(error).advise(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or add --profile NAME; for SSO \
                 and roles: eval \"$(aws configure export-credentials --format env)\"",
            )),
        }
    }
}

/// What a client signs with where nobody gave it a key: only dev mode takes it.
pub(crate) fn anonymous() -> Credentials {
    Credentials {
        access_key_id: "anonymous".to_owned(),
        secret_access_key: "anonymous".to_owned(),
        session_token: None,
    }
}

/// A client of these settings.
pub(crate) fn connect(settings: ClientSettings) -> Outcome<Client> {
    Client::new(settings).map_err(|error| {
        Failure::usage(error).advise("`millstream tls ca` writes the local server's authority")
    })
}

/// What a failed call means for the person who made it.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match &error {
            CallError::Unreachable { endpoint, .. } => Self {
                exit: Exit::Unreachable,
                message: error.to_string(),
                advice: Some(unreachable_advice(endpoint).to_owned()),
            },
            CallError::Untrusted { .. } => Self {
                exit: Exit::Unreachable,
                message: error.to_string(),
                advice: Some(
                    "trust its authority with --ca or AWS_CA_BUNDLE; `millstream tls ca` on the \
                     server's machine writes it"
                        .to_owned(),
                ),
            },
            CallError::NotTls { .. } => Self {
                exit: Exit::Unreachable,
                message: error.to_string(),
                advice: Some("is that its port for clear text? Try http://".to_owned()),
            },
            CallError::NotHttp { .. } => Self {
                exit: Exit::Unreachable,
                message: error.to_string(),
                advice: Some("is that its port for TLS? Try https://".to_owned()),
            },
            CallError::Service(service) => {
                let failure = Self::failed(&error);
                match advice_for(&service.code) {
                    Some(advice) => failure.advise(advice),
                    None => failure,
                }
            }
            CallError::Broken { .. }
            | CallError::TimedOut { .. }
            | CallError::Unreadable { .. }
            | CallError::Unsigned(_) => Self::failed(error),
        }
    }
}

fn unreachable_advice(endpoint: &str) -> &'static str {
    if endpoint.parse().is_ok_and(|endpoint: Endpoint| endpoint.aws_region().is_some()) {
        "is this machine on line, and is there such a region?"
    } else {
        "start a server with `millstream dev`, or name another with --endpoint-url"
    }
}

fn advice_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "ResourceNotFoundException" => {
            "`millstream streams list` shows what is there; `millstream streams create` makes one"
        }
        "ResourceInUseException" => {
            "it exists already or is being changed; `millstream streams list` shows its status"
        }
        "UnrecognizedClientException" | "MissingAuthenticationTokenException" => {
            "the server knows no such key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to one \
             that `millstream keys create` printed"
        }
        "InvalidSignatureException" | "IncompleteSignatureException" => {
            "check the secret, the region (--region) and this machine's clock (`millstream doctor`)"
        }
        "AccessDeniedException" => "the key's policy does not allow it; `millstream keys list`",
        "ProvisionedThroughputExceededException" | "LimitExceededException" => {
            "the service is throttling: try again more slowly, or add shards"
        }
        _ => return None,
    })
}
