# Makes a VM anew from restored disks, as Hyperkeep planned it from the restore point @POINT@.
# Read it before you run it, in a PowerShell of an administrator of the host.
#
# What is made anew has neither the id nor the checkpoints of the VM that was backed up, neither its saved
# memory nor its virtual TPM nor the variables of its firmware, and neither its serial numbers nor the id
# that its firmware tells: no command of this module sets these. If its guest is Linux and has secure boot,
# and no template is set below, give it MicrosoftUEFICertificateAuthority afterwards (Set-VMFirmware).
#
# The disks must be there first. FOLDER is where their folder is found from where this is run:
#   hyperkeep restore disks @POINT@ --flatten --to FOLDER
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

