"""`azlan env pwsh`: a script that turns one PowerShell process to the cloud: certificate, environment, connection.

Follows Az.Accounts (Azure/azure-powershell, src/Accounts) and, for what .NET trusts, dotnet/runtime
(OpenSslCachedSystemStoreProvider.cs). Nothing it does outlives the process, and running it again changes nothing.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from azlan.services.cloud import CLOUD_NAME

Connect = Literal["service-principal", "device-code", "interactive", "none"]
CONNECTIONS: tuple[Connect, ...] = get_args(Connect)

_QUOTES = "'\u2018\u2019\u201a\u201b"
"""What PowerShell's tokenizer takes for the end of a single-quoted string (CharTraits.cs, IsSingleQuote)."""

_LAST: Mapping[Connect, str] = {
    "service-principal": "Connect-AzlanAccount\n",
    "device-code": "Connect-AzlanAccount -UseDeviceAuthentication\n",
    "interactive": "Connect-AzlanAccount -Interactive\n",
    "none": "",
}


def quoted(value: str) -> str:
    """A PowerShell string literal that is that text and nothing else."""
    return "'" + "".join(c * 2 if c in _QUOTES else c for c in value) + "'"


def assignments(variables: Mapping[str, str]) -> str:
    """One line a variable. Names are ours: letters, digits and underscores."""
    return "".join(f"$env:{name} = {quoted(value)}\n" for name, value in variables.items())


def script(variables: Mapping[str, str], endpoint: str, authority: Path, connect: Connect) -> str:
    """The whole script. `variables` are those of `azlan env`, the service principal's secret and the bundle of certificates
    among them; `authority` is the cloud's certificate, PEM."""
    pem = authority.read_text()
    files = {name: value for name, value in variables.items() if value.startswith("/")}
    words = {
        "assignments": assignments({name: value for name, value in variables.items() if name not in files}),
        "files": assignments(files),
        "endpoint": quoted(f"{endpoint}/"),
        "name": quoted(CLOUD_NAME),
        "users": quoted(f"{CLOUD_NAME}Users"),
        "authority": quoted(str(authority)),
        "certificate": quoted(base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode()),
    }
    return re.sub("<<([a-z]+)>>", lambda found: words[found[1]], _SCRIPT) + _LAST[connect]


_SCRIPT = r"""# Azure PowerShell (Az), az and the Azure SDKs of this process talk to Azlan from here on:
#     azlan env pwsh | Out-String | Invoke-Expression
# Nothing of it is saved; running it again is harmless; another process talks to Azure as before.
<<assignments>>
# Files of the computer where Azlan runs: to a PowerShell of Windows, outside its WSL, these are no paths.
if ($PSVersionTable.PSVersion.Major -ge 6 -and -not $IsWindows) {
<<files>>}

& {
    $ErrorActionPreference = 'Stop'
    $endpoint = <<endpoint>>

    # The certificate, for this process alone. It can vouch for loopback and nothing else.
    if ($PSVersionTable.PSVersion.Major -lt 6) {
        # Windows PowerShell: .NET Framework asks a callback, which is compiled because it runs on any thread.
        if (-not ('Azlan.Certificates' -as [type])) {
            Add-Type -TypeDefinition @'
using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Azlan
{
    public static class Certificates
    {
        static X509Certificate2 authority;

        public static void Trust(byte[] certificate)
        {
            authority = new X509Certificate2(certificate);
            ServicePointManager.SecurityProtocol |= SecurityProtocolType.Tls12;
            ServicePointManager.ServerCertificateValidationCallback = Check;
        }

        static bool Check(object sender, X509Certificate certificate, X509Chain given, SslPolicyErrors errors)
        {
            if (errors != SslPolicyErrors.RemoteCertificateChainErrors)
            {
                return errors == SslPolicyErrors.None;
            }
            var chain = new X509Chain();
            chain.ChainPolicy.ExtraStore.Add(authority);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.VerificationFlags = X509VerificationFlags.AllowUnknownCertificateAuthority;
            return chain.Build(new X509Certificate2(certificate))
                && chain.ChainElements[chain.ChainElements.Count - 1].Certificate.Thumbprint == authority.Thumbprint;
        }
    }
}
'@
        }
        [Azlan.Certificates]::Trust([Convert]::FromBase64String(<<certificate>>))
    } elseif ($IsLinux) {
        # .NET reads SSL_CERT_FILE with getenv(3) when it first needs a root, and then no more; what $env: sets it does not see.
        if (-not ('Azlan.NativeEnvironment' -as [type])) {
            Add-Type -Namespace Azlan -Name NativeEnvironment -MemberDefinition @'
[DllImport("libc")]
public static extern int setenv(string name, string value, int overwrite);
'@
        }
        [void][Azlan.NativeEnvironment]::setenv('SSL_CERT_FILE', $env:SSL_CERT_FILE, 1)
    }
    try {
        [void](Invoke-RestMethod -Uri ($endpoint + 'metadata/endpoints?api-version=1.0') -TimeoutSec 30)
    } catch {
        $cure = if ($PSVersionTable.PSVersion.Major -lt 6) {
            'see whether it is up: azlan status'
        } elseif ($IsLinux) {
            'if it is the certificate, this process made a connection before and reads what it trusts once. Start it anew:' +
            " SSL_CERT_FILE='$env:SSL_CERT_FILE' pwsh"
        } elseif ($IsMacOS) {
            'if it is the certificate, macOS asks the keychain, for the user and not for a process:' +
            ' security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db ' + <<authority>>
        } else {
            'if it is the certificate, PowerShell 7 on Windows asks the user''s store and not the process:' +
            ' Import-Certificate -CertStoreLocation Cert:\CurrentUser\Root -FilePath ' + <<authority>>
        }
        throw "$endpoint cannot be reached ($($_.Exception.Message)); $cure"
    }

    # The environment, in memory: a module that is loaded after this line saves neither contexts nor tokens nor secrets.
    $env:Azure_Profile_Autosave = 'false'
    if (-not (Get-Module -Name Az.Accounts)) {
        if (-not (Get-Module -Name Az.Accounts -ListAvailable)) {
            throw 'There is no Azure PowerShell here: Install-Module -Name Az -Repository PSGallery -Scope CurrentUser'
        }
        Import-Module -Name Az.Accounts
    }
    Disable-AzContextAutosave -Scope Process | Out-Null
    # Two, because Az signs applications and people in by different code. The authority that the metadata names is one about
    # which MSAL asks nobody, as a client secret needs it; for people Az is told below not to ask, and takes the plain one.
    Add-AzEnvironment -Name <<name>> -ARMEndpoint $endpoint -Scope Process | Out-Null
    Add-AzEnvironment -Name <<users>> -ARMEndpoint $endpoint -Scope Process | Out-Null
    Set-AzEnvironment -Name <<users>> -ActiveDirectoryEndpoint $endpoint -Scope Process | Out-Null
    try {
        Update-AzConfig -DisableInstanceDiscovery $true -Scope Process -WarningAction SilentlyContinue | Out-Null
        Update-AzConfig -EnableDataCollection $false -Scope Process -WarningAction SilentlyContinue | Out-Null
    } catch {
        Write-Warning -Message 'This Az.Accounts connects the service principal; users need 2.17.0 (Az 11.5) or newer.'
    }
}

function global:Connect-AzlanAccount {
    <#
    .SYNOPSIS
    Connects Azure PowerShell to Azlan: as your service principal, with -UseDeviceAuthentication by a code that is typed into
    a browser, with -Interactive by the browser of this computer. `azlan user add NAME` makes users for the latter two.
    #>
    [CmdletBinding(DefaultParameterSetName = 'ServicePrincipal')]
    param(
        [Parameter(ParameterSetName = 'DeviceCode', Mandatory = $true)] [switch] $UseDeviceAuthentication,
        [Parameter(ParameterSetName = 'Interactive', Mandatory = $true)] [switch] $Interactive
    )
    $where = @{
        Tenant = $env:AZURE_TENANT_ID
        Subscription = $env:AZURE_SUBSCRIPTION_ID
        Scope = 'Process'
    }
    if ($UseDeviceAuthentication) {
        Connect-AzAccount @where -Environment <<users>> -UseDeviceAuthentication
    } elseif ($Interactive) {
        Connect-AzAccount @where -Environment <<users>>
    } else {
        $secret = ConvertTo-SecureString -String $env:AZURE_CLIENT_SECRET -AsPlainText -Force
        $credential = New-Object -TypeName System.Management.Automation.PSCredential -ArgumentList $env:AZURE_CLIENT_ID, $secret
        Connect-AzAccount @where -Environment <<name>> -ServicePrincipal -Credential $credential
    }
}
"""
