// AdminTool
