"""Secrets of every kind that screening looks for, and other forms of some of them."""

import base64
import json


def token(part: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "Anthropic API key": "sk-ant-" + "a1" * 20,
    "AWS Access Key": "AKIA" + "IOSFODNN7EXAMPLE",
    "AWS secret access key": "AWS_SECRET_ACCESS_KEY=" + "a1/+" * 10,
    "AWS session token": "IQoJb3Jp" + "Z2luX2Vj" + "a1/+" * 40 + "==",
    "Azure client secret": "abc8" + "Q~" + "a1._-" * 6 + "abcd",
    "Azure shared access key": "SharedAccessKey=" + "a" * 43 + "=",
    "Azure shared access signature": "sv=2022-11-02&sig=" + "a1%2B" * 14 + "a%3D",
    "Azure Storage Account access key": "AccountKey=" + "a" * 86 + "==",
    "Basic Auth Credentials": "https://admin:" + "hunter2@localhost/x",
    "Databricks token": "dapi" + "0a" * 16,
    "DigitalOcean token": "dop_v1_" + "0a" * 32,
    "Docker token": "dckr_pat_" + "a-1" * 9,
    "GitHub Token": "ghp_" + "a1" * 18,
    "GitHub fine-grained token": "github_pat_" + "a1" * 30,
    "GitLab Token": "glpat-" + "a1" * 10,
    "Google API key": "AIza" + "a" * 35,
    "Google OAuth secret": "ya29." + "a0-_" * 30,
    "Groq API key": "gsk_" + "a1" * 26,
    "Hugging Face token": "hf_" + "aB" * 17,
    "JSON Web Token": f"{token({'alg': 'HS256'})}.{token({'sub': '1'})}.c2ln",
    "Mailchimp Access Key": "0a" * 16 + "-us12",
    "NPM tokens": "npm_" + "a1" * 18,
    "OpenAI Token": "sk-" + "a" * 20 + "T3BlbkFJ" + "b" * 20,
    "OpenRouter API key": "sk-or-v1-" + "0a" * 32,
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "PyPI Token": "pypi-" + "AgEIcHlwaS5vcmc" + "a" * 80,
    "SendGrid API Key": "SG." + "a" * 22 + "." + "b" * 43,
    "Shopify token": "shpat_" + "0a" * 16,
    "Slack Token": "xoxb-" + "123456789012-abcdefghijkl",
    "Square OAuth Secret": "sq0csp-" + "a" * 43,
    "Stripe Access Key": "sk_live_" + "a1" * 12,
    "Telegram Bot Token": "123456789:AA" + "b" * 33,
    "Twilio API Key": "SK" + "0a" * 16,
    "Vault token": "hvs." + "a1" * 47,
}

OTHER_FORMS = [
    ("AWS Access Key", "ASIA" + "IOSFODNN7EXAMPLE"),
    ("AWS secret access key", '"SecretAccessKey": "' + "a1/+" * 10 + '"'),
    ("GitLab Token", "glimt-" + "a1" * 12 + "a"),
    ("Google OAuth secret", "GOCSPX-" + "a-1_" * 7),
    ("Google OAuth secret", "1//0" + "a-1_" * 15),
    ("OpenAI Token", "sk-proj-" + "a1-_" * 18 + "xy" + "T3BlbkFJ" + "b1_-" * 18 + "xy"),
    ("OpenAI Token", "sk-svcacct-" + "a1_-" * 14 + "xy" + "T3BlbkFJ" + "-b1_" * 14 + "xy"),
    ("Private Key", "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----"),
    ("Private Key", "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----"),
    ("Private Key", "PuTTY-User-Key-" + "File-3: ssh-ed25519"),
    ("Slack Token", "xapp-" + "1-A012345-6789012345-0a1b2c3d"),
    ("Slack Token", "xoxe-" + "1-abcdef0123456789"),
    ("Slack Token", "https://hooks.slack.com/" + "workflows/T01234567/A01234567/" + "a1" * 12),
    ("Stripe Access Key", "rk_live_" + "a1" * 12),
    ("Stripe Access Key", "sk_test_" + "a1" * 40),
    ("Stripe Access Key", "whsec_" + "a1" * 16),
]
