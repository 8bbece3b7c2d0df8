"""What is drawn from run folders: data here, pictures in `a2c.commands`."""
