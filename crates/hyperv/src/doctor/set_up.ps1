#Requires -RunAsAdministrator
#Requires -PSEdition Desktop
# Lets one account back up the VMs of this host from another machine, with the least rights that
# will do: WinRM over HTTPS (port 5986) to ask for checkpoints, SMB (port 445) to read disk files.
#
# Read it before you run it. It may be run again: what is there already is left as it is.
# It was written from Microsoft's documentation.
$ErrorActionPreference = 'Stop'
$account = '@ACCOUNT@'

Write-Host '1. WinRM over HTTPS'
Set-Service -Name WinRM -StartupType Automatic
Start-Service -Name WinRM
$listener = Get-ChildItem WSMan:\localhost\Listener | Where-Object { $_.Keys -contains 'Transport=HTTPS' }
if (-not $listener) {
    $name = [System.Net.Dns]::GetHostEntry('').HostName
    $certificate = New-SelfSignedCertificate -DnsName $name, $env:COMPUTERNAME `
        -CertStoreLocation Cert:\LocalMachine\My -NotAfter (Get-Date).AddYears(5)
    New-Item -Path WSMan:\localhost\Listener -Transport HTTPS -Address * `
        -CertificateThumbPrint $certificate.Thumbprint -Force | Out-Null
    $listener = Get-ChildItem WSMan:\localhost\Listener | Where-Object { $_.Keys -contains 'Transport=HTTPS' }
}

Write-Host '2. Firewall: ports 5986 and 445, where the network is a domain''s or private'
foreach ($port in 5986, 445) {
    $rule = "Hyperkeep-$port"
    if (-not (Get-NetFirewallRule -Name $rule -ErrorAction SilentlyContinue)) {
        New-NetFirewallRule -Name $rule -DisplayName "Hyperkeep: TCP $port" -Direction Inbound `
            -Protocol TCP -LocalPort $port -Action Allow -Profile Domain, Private | Out-Null
    }
}

Write-Host '3. Rights: Remote Management Users, Hyper-V Administrators, Event Log Readers'
foreach ($group in 'S-1-5-32-580', 'S-1-5-32-578', 'S-1-5-32-573') {
    $members = Get-LocalGroupMember -SID $group
    $sid = ([System.Security.Principal.NTAccount]$account).Translate([System.Security.Principal.SecurityIdentifier])
    if ($members.SID -notcontains $sid) { Add-LocalGroupMember -SID $group -Member $account }
}

Write-Host '4. Rights to ask WMI from another machine: enable account, execute methods, remote enable'
foreach ($namespace in @NAMESPACES@) {
    $security = Get-WmiObject -Namespace $namespace -Class __SystemSecurity
    $descriptor = $security.GetSecurityDescriptor().Descriptor
    $trustee = ([wmiclass]'root\cimv2:Win32_Trustee').CreateInstance()
    $trustee.SidString = $sid.Value
    $ace = ([wmiclass]'root\cimv2:Win32_ACE').CreateInstance()
    $ace.AccessMask = 0x1 -bor 0x2 -bor 0x20
    $ace.AceFlags = 0
    $ace.AceType = 0
    $ace.Trustee = $trustee
    $known = $descriptor.DACL | Where-Object {
        $_.Trustee.SidString -eq $sid.Value -and ($_.AccessMask -band 0x23) -eq 0x23 }
    if (-not $known) {
        $descriptor.DACL += $ace.PSObject.ImmediateBaseObject
        $answer = $security.SetSecurityDescriptor($descriptor)
        if ($answer.ReturnValue -ne 0) { throw "${namespace}: SetSecurityDescriptor answered $($answer.ReturnValue)" }
    }
}

Write-Host '5. Shares of the folders with VMs: this account alone, reading only, encrypted'
$shares = @(
@SHARES@
)
foreach ($share in $shares) {
    $there = Get-SmbShare -Name $share.Name -ErrorAction SilentlyContinue
    if (-not $there) {
        New-SmbShare -Name $share.Name -Path $share.Path -ReadAccess $account -EncryptData $true | Out-Null
    } elseif ($there.Path.TrimEnd('\') -ne $share.Path.TrimEnd('\')) {
        throw "the share $($share.Name) is of $($there.Path) and not of $($share.Path): remove it, and run this again"
    }
    # Inherited by the files that are there and by those of checkpoints to come.
    icacls.exe $share.Path /grant "*$($sid.Value):(OI)(CI)R" | Out-Null
    if ($LASTEXITCODE -ne 0) { throw "$($share.Path): icacls ended with $LASTEXITCODE" }
}

Write-Host '6. The fingerprint to pin, should nobody have signed the certificate:'
foreach ($entry in $listener) {
    $print = (Get-ChildItem "WSMan:\localhost\Listener\$($entry.Name)" | Where-Object Name -eq CertificateThumbprint).Value
    $found = Get-Item "Cert:\LocalMachine\My\$print"
    $hash = [System.Security.Cryptography.SHA256]::Create().ComputeHash($found.RawData)
    Write-Host ('   ' + [System.BitConverter]::ToString($hash).Replace('-', '').ToLowerInvariant())
}

if ($shares) {
    Write-Host '7. Where the files are found: give these to backup and doctor, or put them in the file of hosts'
    foreach ($share in $shares) { Write-Host ("   --share '" + $share.Rule.Replace("'", "''") + "'") }
}
