"""The commands of the CLI tab of "Tutorial: Connect virtual networks with virtual network peering", 2024-11-20, as printed.

learn.microsoft.com/azure/virtual-network/tutorial-connect-virtual-networks-peering. `expect` is what the tutorial says of
the output. Steps without `printed` are the tutorial's words put into a command ("wait for the virtual machines").
"""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "test-rg"
BASTION = "bastion"
USER = "azureuser"
PINGS = (("vm-1", "10.1.0.4"), ("vm-2", "10.0.0.4"))
"""From which VM to ping what."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command block: shell text, what the output must match, how long it may take."""

    text: str
    expect: str = ""
    """Regular expression that must be found in the output."""
    seconds: float = 300.0
    printed: bool = True
    title: str = ""


STEPS: tuple[Step, ...] = (
    Step(
        """az group create \\
    --name test-rg \\
    --location eastus2""",
        '"provisioningState": "Succeeded"',
        title="Create a virtual network and an Azure Bastion host",
    ),
    Step(
        """az network vnet create \\
    --name vnet-1 \\
    --resource-group test-rg \\
    --address-prefixes 10.0.0.0/16 \\
    --subnet-name subnet-1 \\
    --subnet-prefix 10.0.0.0/24""",
        '"provisioningState": "Succeeded"',
    ),
    Step(
        """# Create a bastion subnet.
az network vnet subnet create \\
    --vnet-name vnet-1 \\
    --resource-group test-rg \\
    --name AzureBastionSubnet \\
    --address-prefix 10.0.1.0/24""",
        '"provisioningState": "Succeeded"',
    ),
    Step(
        """az network public-ip create \\
    --resource-group test-rg \\
    --name public-ip-bastion \\
    --location eastus2 \\
    --allocation-method Static \\
    --sku Standard""",
        '"ipAddress": "',
    ),
    Step(
        """az network bastion create \\
    --resource-group test-rg \\
    --name bastion \\
    --vnet-name vnet-1 \\
    --public-ip-address public-ip-bastion \\
    --location eastus2 \\
    --no-wait"""
    ),
    Step(
        """az network vnet create \\
    --name vnet-2 \\
    --resource-group test-rg \\
    --address-prefixes 10.1.0.0/16 \\
    --subnet-name subnet-1 \\
    --subnet-prefix 10.1.0.0/24""",
        '"provisioningState": "Succeeded"',
        title="Create a second virtual network",
    ),
    Step(
        """# Get the id for vnet-1.
vNet1Id=$(az network vnet show \\
  --resource-group test-rg \\
  --name vnet-1 \\
  --query id --out tsv)

# Get the id for vnet-2.
vNet2Id=$(az network vnet show \\
  --resource-group test-rg \\
  --name vnet-2 \\
  --query id \\
  --out tsv)""",
        title="Create virtual network peer",
    ),
    Step(
        """az network vnet peering create \\
  --name vnet-1-to-vnet-2 \\
  --resource-group test-rg \\
  --vnet-name vnet-1 \\
  --remote-vnet $vNet2Id \\
  --allow-vnet-access""",
        '"peeringState": "Initiated"',
    ),
    Step(
        """az network vnet peering create \\
  --name vnet-2-to-vnet-1 \\
  --resource-group test-rg \\
  --vnet-name vnet-2 \\
  --remote-vnet $vNet1Id \\
  --allow-vnet-access""",
        '"peeringState": "Connected"',
    ),
    Step(
        """az network vnet peering show \\
  --name vnet-1-to-vnet-2 \\
  --resource-group test-rg \\
  --vnet-name vnet-1 \\
  --query peeringState""",
        '"Connected"',
    ),
    Step(
        """az vm create \\
    --resource-group test-rg \\
    --name vm-1 \\
    --image Ubuntu2204 \\
    --vnet-name vnet-1 \\
    --subnet subnet-1 \\
    --admin-username azureuser \\
    --authentication-type password \\
    --no-wait""",
        title="Create virtual machines",
    ),
    Step(
        """az vm create \\
    --resource-group test-rg \\
    --name vm-2 \\
    --image Ubuntu2204 \\
    --vnet-name vnet-2 \\
    --subnet subnet-1 \\
    --admin-username azureuser \\
    --authentication-type password""",
        '"powerState": "VM running"',
        seconds=600,
    ),
    Step("az vm wait --resource-group test-rg --name vm-1 --created --interval 2", seconds=600, printed=False,
         title="Wait for the virtual machines and the Bastion host"),
    Step("az network bastion wait --resource-group test-rg --name bastion --created --interval 2", printed=False),
    Step("az resource list --resource-group test-rg --output table", "Microsoft.Compute/disks", printed=False),
)  # fmt: skip

DELETE: tuple[Step, ...] = (
    Step("az group delete --name test-rg --yes --no-wait", title="Clean up resources"),
    Step("az group wait --name test-rg --deleted --interval 2", seconds=600, printed=False),
)
